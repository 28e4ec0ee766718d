#!/bin/sh
# Make an account for each name of a list, with a password of its own, which goes to passwords.txt.
#     umask 077; sh deploy/students.sh students.txt >> passwords.txt
# A name: small letters, digits, - and _. Names that have an account already are left as they are.
set -eu
getent group lecture-11 > /dev/null || groupadd lecture-11
umask 077
while read -r name; do
    case "$name" in
        "") continue ;;
        *[!a-z0-9_-]* | [!a-z]*) echo "$name: not a name for an account" >&2; continue ;;
    esac
    if getent passwd "$name" > /dev/null; then
        echo "$name: has an account already" >&2
        continue
    fi
    useradd --create-home --shell /bin/bash --key HOME_MODE=0700 --groups lecture-11 "$name"
    password=$(tr -dc 'a-hjkmnp-z2-9' < /dev/urandom | head -c 12)
    echo "$name:$password" | chpasswd
    echo "$name $password"
done < "$1"

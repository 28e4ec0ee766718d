"""The tests. A package, so that its modules have names of their own and can share helpers."""

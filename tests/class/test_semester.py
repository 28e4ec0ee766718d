"""A class with a real hub: accounts, release, fetch, work, submit, collect, grade, feedback, marks;
attacks on the way, and what is lost when something dies in the middle (nothing)."""

import csv
import io
import os
import shutil
import signal
import time
from types import SimpleNamespace

import pytest

from . import machine as machines
from . import semester

pytestmark = pytest.mark.matrix  # minutes, and root: make test-class


@pytest.fixture(scope="module")
def school(tmp_path_factory):
    """A running class, before anybody has done anything."""
    if why := machines.problem():
        pytest.skip(why)
    with machines.Machine() as machine:
        yield semester.set_up(machine, tmp_path_factory.mktemp("hub") / "hub.log")


@pytest.fixture(scope="module")
def handed_in(school):
    """Everybody has worked; the hub was killed and started again between two submissions."""
    seen = SimpleNamespace(list={}, submitted={})
    ada, mallory, zoe = (school.person(name).start() for name in ("ada", "mallory", "zoe"))
    for person in (ada, mallory, zoe):
        seen.list[person.name] = person.assignments()
        person.assignments("fetch")
    ada.save(semester.three_answers())
    seen.submitted["first"] = ada.assignments("submit")
    mallory.save(semester.hostile())
    mallory.assignments("submit")
    seen.mischief = semester.mischief(school)
    seen.without_hub = without_a_hub(school, ada)
    ada.save(semester.solved())
    seen.submitted["second"] = ada.assignments("submit")
    time.sleep(2)  # a due date has whole seconds
    school.lecturer(
        "nbgrader db assignment add tutorial_7 --duedate=\"$(date -u '+%Y-%m-%d %H:%M:%S UTC')\""
    )
    time.sleep(2)
    zoe.save(semester.three_answers())
    seen.full = with_a_full_exchange(school, zoe)
    zoe.assignments("submit")
    seen.people = {"ada": ada, "mallory": mallory, "zoe": zoe}
    return seen


def without_a_hub(school, person):
    """Kill the hub; return the status of a student's server meanwhile; start the hub again."""
    school.machine.run("kill -9 $(pgrep -f '[b]in/jupyterhub --config')")
    time.sleep(1)
    status = person.server("GET", "api/contents").status_code
    school.start_hub()
    return status


def with_a_full_exchange(school, person):
    """Hand in while the exchange's disk is full; return nbgrader's answer."""
    school.machine.run(f"mount -t tmpfs -o size=16k,mode=1733 none {semester.INBOUND}")
    try:
        return person.assignments("submit")
    finally:
        school.machine.run(f"umount {semester.INBOUND}")


@pytest.fixture(scope="module")
def graded(school, handed_in):
    """Collected and graded; the grader was killed once in the middle."""
    done = SimpleNamespace()
    done.collected = school.lecturer("nbgrader collect tutorial_7").stderr
    done.sandbox = school.lecturer("python grading/sandbox.py").stdout
    killed_in_the_middle(school)
    done.after_kill = waiting(school)
    done.graded = school.lecturer("python grading/grade.py --processes 2", check=False)
    done.again = school.lecturer("python grading/grade.py --processes 2").stdout
    done.lecturer = school.person("lecturer").start()
    done.second = school.person("second").start(owner="lecturer")
    done.by_hand = [
        semester.give_points_by_hand(school, done.lecturer, "ada", 4.0),
        semester.give_points_by_hand(school, done.second, "zoe", 1.0),
    ]
    school.lecturer("nbgrader generate_feedback tutorial_7")
    done.released = school.lecturer("nbgrader release_feedback tutorial_7").stderr
    done.marks = school.lecturer("python grading/marks.py && cat marks.csv").stdout
    for person in handed_in.people.values():
        person.assignments("fetch_feedback")
    return done


def waiting(school):
    script = "from grading.grade import waiting, Path; print(*waiting(Path()))"
    return school.lecturer(f'python -c "{script}"').stdout.split()


def killed_in_the_middle(school):
    """Start grading, and kill every process of it while a student's code runs."""
    process = school.machine.start(
        f"sh -c 'cd {semester.COURSE} && exec python grading/grade.py --processes 1'",
        school.log.with_name("grade.log"),
        user="lecturer",
    )
    for _ in range(600):
        running = school.machine.run("pgrep -f '[t]utorial_7_.*/worker.py'", check=False).stdout
        if running.split() or process.poll() is not None:
            break
        time.sleep(0.3)
    time.sleep(3)
    school.machine.run("pkill -9 -f '[g]rading/grade.py|[n]bgrader autograde'", check=False)
    process.wait(timeout=60)
    time.sleep(1)
    left = school.machine.run("pgrep -af '[w]orker.py'", check=False).stdout
    assert not left, left


def marks(graded):
    return {
        row["student"]: row
        for row in csv.DictReader(io.StringIO(graded.marks[graded.marks.index("student,") :]))
    }


# ----------------------------------------------------------------------------- handing in


def test_students_log_in_with_their_own_password_only(school):
    assert school.person("ada").logged_in
    assert not semester.Person(school.hub, "ada", school.passwords["zoe"]).logged_in
    assert not semester.Person(school.hub, "root", "").logged_in


def test_a_student_sees_fetches_and_submits(handed_in):
    (released,) = handed_in.list["ada"]["value"]
    assert released["status"] == "released" and released["assignment_id"] == "tutorial_7"
    for what in ("first", "second"):
        assert handed_in.submitted[what]["success"]
    last = [a for a in handed_in.submitted["second"]["value"] if a["status"] == "submitted"]
    assert len(last[0]["submissions"]) == 2


def test_what_a_student_can_do_to_others_on_the_server(handed_in):
    possible = {name for name, status in handed_in.mischief.items() if status == 0}
    assert possible == {"hands in under ada's name", "hands in at no time", "hands in a link"}


def test_students_cannot_enter_each_others_or_the_lecturers_server(school, handed_in):
    mallory = handed_in.people["mallory"]
    for other in ("ada", "lecturer"):
        assert mallory.server("GET", "api/contents", owner=other).status_code in (403, 404, 424)
    assert mallory.api("POST", "users/lecturer/server").status_code in (403, 404)
    assert mallory.server("GET", "formgrader/api/assignments").status_code == 404


def test_a_students_work_goes_on_while_the_hub_is_dead(handed_in):
    assert handed_in.without_hub == 200


def test_a_full_disk_is_said_and_loses_nothing(school, handed_in):
    assert not handed_in.full["success"]
    content = handed_in.people["zoe"].read("tutorial_7/tutorial_7.ipynb")
    assert "bernoulli_log_likelihood" in content


# ----------------------------------------------------------------------------- grading


def test_collecting_names_what_is_not_as_it_should_be(school, graded):
    said = graded.collected
    assert "was made by mallory and not by ada. It is collected as mallory's" in said
    assert "no time can be read in its name" in said
    assert "Not collected: mallory+tutorial_7+2031-01-01+l" in said
    collected = school.lecturer("ls submitted").stdout.split()
    assert collected == ["ada", "mallory", "zoe"]


def test_grading_ran_in_a_sandbox_as_an_ordinary_user(graded):
    assert graded.sandbox.startswith("Sandbox: no network")


def test_a_grader_killed_in_the_middle_is_started_again_and_loses_nothing(graded):
    assert graded.after_kill, "it was not killed in the middle"
    assert graded.graded.returncode == 0, graded.graded.stdout + graded.graded.stderr
    assert "0 graded, 3 were graded before" in graded.again


def test_marks(graded):
    rows = marks(graded)
    assert float(rows["ada"]["points"]) == 90 + 8 and rows["ada"]["state"] == "graded"
    assert float(rows["ada"]["late"]) == 0
    assert float(rows["zoe"]["points"]) == 24 + 2
    assert float(rows["zoe"]["late"]) == pytest.approx(-2.6)  # of all points
    assert float(rows["mallory"]["points"]) == 16, "the attack earned points, or cost honest ones"
    assert rows["mallory"]["look_at"] == "yes"


def test_two_lecturers_grade_at_once(school, graded):
    assert graded.by_hand == [2, 2]
    assert graded.second.server("GET", "formgrader/api/assignments").status_code != 200
    held = school.machine.start(
        f"sh -c 'cd {semester.COURSE} && exec flock .grading.lock sleep 30'",
        os.devnull,
        user="lecturer",
    )
    time.sleep(1)
    refused = school.lecturer("python grading/grade.py", check=False)
    assert refused.returncode != 0 and "is being graded already" in refused.stderr
    held.send_signal(signal.SIGKILL)


# ----------------------------------------------------------------------------- feedback


def test_everybody_gets_their_own_feedback(school, handed_in, graded):
    for name in ("ada", "zoe"):
        html = school.machine.run("cat ~/tutorial_7/feedback/*/*.html", name).stdout
        assert ("0.3 nats" in html) == (name == "ada"), f"{name} reads ada's answer"
    # What mallory copied into the exchange by hand has no secret by which feedback is found.
    assert "Not handed in through the exchange" in graded.released
    assert "mallory" in graded.released
    assert not school.machine.run("ls ~/tutorial_7/feedback", "mallory", check=False).stdout


def test_nothing_of_the_sandboxes_is_left(school, graded):
    left = school.machine.run("ls -d /tmp/tutorial_7_*", "lecturer", check=False).stdout
    # Folders of the two that were killed, and of nobody else.
    assert len(left.split()) <= 2


# ----------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by Playwright."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("This test needs Chromium or Chrome.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(args=["--no-sandbox"], executable_path=program)


def logged_in(school, browser, name):
    """A page of somebody who logged in by hand."""
    page = browser.new_context(viewport={"width": 1200, "height": 800}).new_page()
    page.set_default_timeout(180_000)
    page.goto(f"{school.hub}/hub/login")
    page.fill("#username_input", name)
    page.fill("#password_input", school.passwords[name])
    page.click("#login_submit")
    page.wait_for_url("**/lab**")
    page.wait_for_selector("#jp-MainLogo, .jp-Launcher", state="attached")
    return page


def picture(page, name):
    """Keep a picture where CLASS_PICTURES asks for it."""
    if folder := os.environ.get("CLASS_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png")


def menu(page):
    """The entries of JupyterLab's menu Nbgrader."""
    page.click("text=Nbgrader >> nth=0")
    page.wait_for_selector(".lm-Menu-itemLabel:has-text('Assignment List')")
    entries = page.eval_on_selector_all(".lm-Menu-itemLabel", "e => e.map(x => x.innerText)")
    return {entry for entry in entries if entry.strip()}


def test_a_student_sees_the_list_of_assignments_and_no_tools_for_lecturers(school, graded, browser):
    page = logged_in(school, browser, "ada")
    entries = menu(page)
    picture(page, "student-menu")
    assert "Assignment List" in entries
    assert not entries & {"Formgrader", "Create Assignment", "Course List"}
    page.click(".lm-Menu-itemLabel:has-text('Assignment List')")
    page.wait_for_selector("text=Submitted assignments")
    page.wait_for_selector("text=tutorial_7")
    page.wait_for_timeout(2000)
    picture(page, "student-list")
    assert "fetch feedback" in page.inner_text("body").lower()


def test_the_lecturer_sees_the_class_in_the_formgrader(school, graded, browser):
    page = logged_in(school, browser, "lecturer")
    assert "Formgrader" in menu(page)
    picture(page, "lecturer-menu")
    page.goto(f"{school.hub}/user/lecturer/formgrader/manage_submissions/tutorial_7")
    page.wait_for_selector("text=mallory")
    page.wait_for_timeout(2000)
    picture(page, "formgrader-submissions")
    for name in ("ada", "zoe"):
        assert name in page.inner_text("body")
    page.goto(f"{school.hub}/user/lecturer/formgrader/gradebook/tutorial_7/tutorial_7")
    page.wait_for_selector("text=Submission #1")
    page.wait_for_timeout(2000)
    picture(page, "formgrader-manual")

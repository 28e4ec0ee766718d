"""How Tutorial 7 is collected, repaired, scored and shown. Nothing here runs a student's code in
the grader's process."""

"""The objective that the data ask for: short trainings, judged out of fold."""

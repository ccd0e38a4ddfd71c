"""A scorer with its labels, told how good it is: calibration, choice, power, classes, saved fits. Knows no command."""

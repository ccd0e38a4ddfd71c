"""What commands share: exit codes, what several of them say, printing and the live display."""

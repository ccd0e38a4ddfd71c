"""Options and checks that commands share."""

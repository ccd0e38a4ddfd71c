"""What commands share: flags, printing and progress."""

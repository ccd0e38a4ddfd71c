"""What every command is: flags made of its options, help, and what is asked before or after any verb."""

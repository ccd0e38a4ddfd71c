"""Words: one file per subcommand calls the verb and says what came of it; its flags are made of its options."""

"""Words: one file per subcommand translates flags to options, calls the verb and hands the result to `output`."""

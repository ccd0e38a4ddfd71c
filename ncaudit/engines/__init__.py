"""Where shard functions run. One input shard gives one output of the same stem; an engine only decides where."""

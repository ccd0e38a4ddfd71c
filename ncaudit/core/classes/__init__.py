"""Which class a pair truly has: votes, linear models, beliefs, and the noise of given classes."""

"""The reader of webdataset tars, and the samples they are made of."""

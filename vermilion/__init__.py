"""The operator's program: the `vermilion` command line, the launcher, the key ceremony, the demo, the doctor; and the client library."""

"""Speed, measured: candidates take turns in one run, so that what is compared had the same machine."""

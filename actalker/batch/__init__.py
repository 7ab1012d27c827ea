"""Many videos from one list: a manifest of requests becomes a folder of results, on one core or on many machines.

`manifest` reads the rows, `plan` finds which of them are the same or done, `renderer` makes one row's video, `ledger`
holds what became of each, and `run` goes from the first to the last. Only `cluster` knows Ray, which hands rows to
workers; without it the same rows go through the same renderer in this process.
"""

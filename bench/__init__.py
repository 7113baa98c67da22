"""`make bench`: the real service under real loads, each figure beside the raw limit of the same machine.

A figure alone says more about the machine than about the service. So every row takes turns with what
nothing could beat (pgbench, the sqlite3 shell, `\\copy`, smtp-source), and what counts is the ratio.
"""

"""A sweep as a job of a Ray cluster: what is sent there, and how it is followed.

command line -> name and command of the job -> probe on the cluster -> job
                                                                        |
this terminal <- log, exit code <- job server <-------------------------+
"""

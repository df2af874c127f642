"""Nothing that was answered with 2xx is lost, whatever dies in between: `python -m tests.faults`.

fleet      simulated nodes, and what each of their scrapes holds
sender     sends it as Prometheus does, and keeps the ledger of what was acknowledged
oracle     which rows with which values the acknowledged samples have to become
stored     which rows the two stores hold
account    the difference of the two, as a line of a table
load       a service under that load, from start to account
kills, outages (by postgres_proxy), disks, clocks (by clock_offset.c), lags    the faults
damage     the embedded file cut off and with flipped bits
"""

"""The race against Apache Kafka on one machine: `make bench-kafka`.

contenders.py  the two brokers as their users start them, and what differs from that
usage.py       CPU and memory of a process and of all that it started
loads.py       the load generators, each run checked: everything acknowledged, everything there
asking.py      single requests over a plain socket
rows.py        what is measured on brokers that live through the whole race
lone.py        what needs brokers of its own: start, restart, idle connections, many partitions
goals.py       what each figure should be, and whether it is
sink.py, .c    a broker that costs next to nothing: what the load generators can do at most
profiles.py    rows on StreamBus under perf: where the time goes
folds.py       stacks and components out of what perf recorded
flames.py      flame graphs out of the stacks
keeping.py     results by row, column and round in .cache/race, so that a race can be cut and go on
pages.py       docs/performance.md and results.json out of the results
chart.py       docs/performance.svg
"""

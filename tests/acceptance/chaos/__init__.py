"""Faults, systematically: a seeded workload, a model that predicts its answers, and everything that can break.

    workload.py    clients that send commands and questions over HTTP, and repeat what stays unanswered
    model.py       what the clients were told, and what must therefore be true
    followers.py   readers that follow every event: a live stream at each gateway, a subscription over NATS
    faults.py      what is broken, when, and for how long: decided by the seed alone
    cluster.py     two gateways, two projectors, two relays, PostgreSQL and NATS, with a proxy on every connection
    processes.py   one program: started, killed, paused, and restarted as a supervisor does
    proxy.py       one connection's way: dropped, stalled, swallowed or half closed
    checks.py      the list of what is compared once everything works again
    rules.py       what a recorded history must be, given what the clients were told
    history.py     one workspace's history, and the world that its events describe
    asking.py      how a client asks, and asks again
    campaign.py    one run from the first fault to the last check, and the report

Run it with `make chaos` (SEED=..., FAULTS=...). Start reading in campaign.py.
"""

"""The benchmark's tandem as a model of cimba for Python, which reads a model's source from its file.

Numbers repeat those of test_engine.py, because a model's text is compiled by itself. Clients are tokens in containers,
cimba's own and fastest form: it counts visits and keeps no client's times.
"""

import cimba as cb
from cimba import random


class Tandem(cb.Model):
    """M/M/c stations of 1, 2, 4, 8, 16 servers at 80%, 100 arrivals a second."""

    first: cb.Container
    second: cb.Container
    third: cb.Container
    fourth: cb.Container
    fifth: cb.Container
    gone: cb.Container
    visits: cb.Output[float]

    @cb.process
    def arrive(self):
        while True:
            cb.hold(random.exponential(0.01))
            self.first.put(1)

    @cb.process(copies=1)
    def serve_first(self):
        while True:
            self.first.get(1)
            cb.hold(random.exponential(0.008))
            self.second.put(1)

    @cb.process(copies=2)
    def serve_second(self):
        while True:
            self.second.get(1)
            cb.hold(random.exponential(0.016))
            self.third.put(1)

    @cb.process(copies=4)
    def serve_third(self):
        while True:
            self.third.get(1)
            cb.hold(random.exponential(0.032))
            self.fourth.put(1)

    @cb.process(copies=8)
    def serve_fourth(self):
        while True:
            self.fourth.get(1)
            cb.hold(random.exponential(0.064))
            self.fifth.put(1)

    @cb.process(copies=16)
    def serve_fifth(self):
        while True:
            self.fifth.get(1)
            cb.hold(random.exponential(0.128))
            self.gone.put(1)

    @cb.on_end
    def count(self):
        self.visits = 5.0 * self.gone.level()

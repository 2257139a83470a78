"""The peer of our replay: Locust's own fast client in its own closed loop, asking for what our plan asks for."""

import os

from locust import FastHttpUser, task


class Stock(FastHttpUser):
    """Asks again as soon as it has an answer."""

    @task
    def ask(self) -> None:
        self.client.get(os.environ["ASKED"], name="search_catalogue")

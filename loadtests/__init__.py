"""The open-loop replay of a plan by Locust. Imports only `caodiem` of our packages."""

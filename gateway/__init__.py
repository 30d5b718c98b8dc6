"""An event gateway for contact centers: call events in over HTTP, webhooks out, nothing lost."""

__version__ = "0.1.0"

"""The way of events to one webhook: what waits and in which order, what flies, what is stored, and when it goes on."""

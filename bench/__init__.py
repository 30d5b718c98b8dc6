"""Measuring the gateway: a load generator, a target, the floor, and the scenarios that put them together.

Nothing here is part of the product, and nothing in the product imports it.
"""

"""What the gateway says about itself: metrics for Prometheus and structured log lines."""

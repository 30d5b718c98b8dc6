"""The web pages for people: Access Setup, Webhook Settings, Webhooks Logs, and what operators need."""

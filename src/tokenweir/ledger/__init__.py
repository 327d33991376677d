"""The only authority on tokens and money: laws, store, service, views."""

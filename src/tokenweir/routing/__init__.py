"""Which deployments a call is tried at, and why. Pure decisions."""

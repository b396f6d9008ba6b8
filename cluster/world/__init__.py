"""The demo's world: real deliveries replayed, and labelled synthetic telemetry around them."""

"""The pages of alerts: what is heard of them, what people do about them, and their rules."""

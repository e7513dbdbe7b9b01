"""What a feed is published to: one interface (`target.Target`) and three contracts behind it."""

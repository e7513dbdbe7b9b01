"""Changing our sender contracts (OracleWithCCIP) safely: what they are, what they should be, and the calls between."""

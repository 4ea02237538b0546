"""Files of the 2018 tool."""

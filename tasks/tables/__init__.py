"""Tables: what users bring, read without a guess that is not said."""

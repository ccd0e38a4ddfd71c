"""`eval`: retrieval of a matcher, and scores against the truth or against the scores that pairs came with."""

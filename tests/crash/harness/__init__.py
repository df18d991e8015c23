# SPDX-License-Identifier: Apache-2.0
"""What the crash tests are made of: receiver.py (a process), journal.py, load.py, account.py, campaign.py."""

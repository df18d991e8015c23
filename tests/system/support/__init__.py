# SPDX-License-Identifier: Apache-2.0
"""The real parts that system tests are made of: the server, a registry, receivers, images, an API client."""

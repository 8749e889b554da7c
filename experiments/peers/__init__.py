"""The W-model beside CVAE, JVAE and MultiVae's models: same pairs, same budget, one judge."""

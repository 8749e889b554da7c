"""The W-model beside MultiVae's models, CVAE and JVAE: same pairs, same budget, one judge."""

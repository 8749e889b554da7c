"""A W-model's bundle behind the KServe protocols: `wyner-kserve --model_dir bundle`."""

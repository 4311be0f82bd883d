// Package config turns file, environment and flags into checked settings.
package config

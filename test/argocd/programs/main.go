// One binary with the parts of Argo CD that apply what is in Git, and with kustomize, which answers to their names.
package main

import (
	"os"
	"path/filepath"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	gitaskpass "github.com/argoproj/argo-cd/v3/cmd/argocd-git-ask-pass/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
	kustomize "sigs.k8s.io/kustomize/kustomize/v5/commands"
)

var commands = map[string]func() *cobra.Command{
	"argocd-application-controller": controller.NewCommand,
	"argocd-git-ask-pass":           gitaskpass.NewCommand,
	"argocd-repo-server":            reposerver.NewCommand,
	"kustomize":                     kustomize.NewDefaultCommand,
}

func main() {
	name := filepath.Base(os.Args[0])
	newCommand, isKnown := commands[name]
	if !isKnown {
		os.Stderr.WriteString(name + ": call me argocd-application-controller, argocd-git-ask-pass, argocd-repo-server or kustomize\n")
		os.Exit(2)
	}
	if newCommand().Execute() != nil {
		os.Exit(1)
	}
}

using System.ComponentModel;
using Spectre.Console.Cli;

namespace Kvcached.Cli.Commands;

/// <summary><c>kvctl completion</c>: a script for the shell, which completes commands, options and names of pools.</summary>
internal sealed class CompletionCommand : Command<CompletionCommand.Settings>
{
    private const string CommonOptions = "--url --json --help";

    internal sealed class Settings : CommandSettings
    {
        [CommandArgument(0, "<SHELL>")]
        [Description("bash, zsh or fish.")]
        public string Shell { get; init; } = string.Empty;
    }

    public override int Execute(CommandContext context, Settings settings, CancellationToken cancellationToken)
    {
        Console.Out.Write(settings.Shell switch
        {
            "bash" => Bash,
            "zsh" => $"{Zsh}{Bash}",
            "fish" => Fish,
            _ => throw new UsageException($"there is no completion for '{settings.Shell}'; allowed: bash, zsh, fish."),
        });
        return ExitCodes.Done;
    }

    // What bash completes by works in zsh too, once its own completion has been started, which a plain .zshrc doesn't do.
    private const string Zsh = """
        (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
        autoload -U +X bashcompinit && bashcompinit

        """;

    private static string Names => string.Join(' ', KvctlApp.CommandNames);

    // A host that doesn't answer at once completes nothing; the shell must not hang.
    private static string Bash => $$"""
        _kvctl() {
          local current="${COMP_WORDS[COMP_CWORD]}"
          if [ "$COMP_CWORD" -eq 1 ]; then
            COMPREPLY=($(compgen -W "{{Names}}" -- "$current"))
          elif [[ "$current" == -* ]]; then
            COMPREPLY=($(compgen -W "{{CommonOptions}} --floor --weight --gpus --revision --token-file --undo --wait --refresh --once --count" -- "$current"))
          elif [ "$COMP_CWORD" -eq 2 ]; then
            case "${COMP_WORDS[1]}" in
              limit|limit-percent|trim|watch) COMPREPLY=($(compgen -W "$(timeout 2 kvctl names 2>/dev/null)" -- "$current")) ;;
              drain) COMPREPLY=($(compgen -W "$(timeout 2 kvctl names --gpus 2>/dev/null)" -- "$current")) ;;
              completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$current")) ;;
              plan) COMPREPLY=($(compgen -f -- "$current")) ;;
            esac
          fi
        }
        complete -F _kvctl kvctl

        """;

    private static string Fish => $"""
        complete -c kvctl -f
        complete -c kvctl -F -n "__fish_seen_subcommand_from plan"
        complete -c kvctl -f -n __fish_use_subcommand -a "{Names}"
        complete -c kvctl -f -n "__fish_seen_subcommand_from limit limit-percent trim watch" -a "(timeout 2 kvctl names 2>/dev/null)"
        complete -c kvctl -f -n "__fish_seen_subcommand_from drain" -a "(timeout 2 kvctl names --gpus 2>/dev/null)"
        complete -c kvctl -f -n "__fish_seen_subcommand_from completion" -a "bash zsh fish"
        complete -c kvctl -f -n "__fish_seen_subcommand_from limit limit-percent" -l floor -r -d "what others leave to the pool"
        complete -c kvctl -f -n "__fish_seen_subcommand_from limit limit-percent" -l weight -r -d "its share of what is short"
        complete -c kvctl -f -n "__fish_seen_subcommand_from limit limit-percent" -l gpus -r -a "(timeout 2 kvctl names --gpus 2>/dev/null)" -d "on these only"
        complete -c kvctl -f -n "__fish_seen_subcommand_from limit limit-percent" -l revision -r -d "number of the change"
        complete -c kvctl -n "__fish_seen_subcommand_from limit limit-percent trim drain" -l token-file -r -d "file with the token"
        complete -c kvctl -f -n "__fish_seen_subcommand_from drain" -l undo -d "ends it"
        complete -c kvctl -f -n "__fish_seen_subcommand_from drain" -l wait -r -d "seconds until it is quiet"
        complete -c kvctl -f -n "__fish_seen_subcommand_from top" -l refresh -r -d "seconds"
        complete -c kvctl -f -n "__fish_seen_subcommand_from top" -l once -d "once"
        complete -c kvctl -f -n "__fish_seen_subcommand_from watch" -l count -r -d "so many events"
        complete -c kvctl -f -l url -r -d "a host"
        complete -c kvctl -f -l json -d "for programs"

        """;
}

namespace Kvcached.EngineProbe;

/// <summary>
/// One engine process, scheduler or worker, told what to do: a command a line on standard input, a JSON answer a line on standard output. The end of
/// input ends it in good order.
/// </summary>
internal static class CommandLoop
{
    /// <summary>Carries out commands until the input ends.</summary>
    /// <param name="input">Commands.</param>
    /// <param name="output">Answers.</param>
    /// <param name="addMore">Adds commands besides those of schedulers and workers.</param>
    public static void Run(TextReader input, TextWriter output, Action<Dictionary<string, Func<ProbeCommand, ProbeAnswer>>>? addMore = null)
    {
        Dictionary<string, Func<ProbeCommand, ProbeAnswer>> commands = new(StringComparer.Ordinal);
        using var scheduler = new SchedulerCommands(commands);
        using var worker = new WorkerCommands(commands);
        ProcessCommands.AddTo(commands);
        OwnConnections.AddTo(commands);
        addMore?.Invoke(commands);
        while (input.ReadLine() is { } line)
        {
            output.WriteLine(Answer(commands, line).ToJson());
            output.Flush();
        }
    }

    private static ProbeAnswer Answer(Dictionary<string, Func<ProbeCommand, ProbeAnswer>> commands, string line)
    {
        try
        {
            var command = ProbeCommand.Parse(line);
            return commands.TryGetValue(command.Verb, out var run) ? run(command) : ProbeAnswer.Failed("Unknown", $"There is no command '{command.Verb}'.");
        }
        catch (Exception e)
        {
            // Whoever asked sees it; the process lives on so that it can be asked what is left.
            return ProbeAnswer.Failed(e.GetType().Name, e.ToString());
        }
    }
}

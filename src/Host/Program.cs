using Kvcached.Host.Options;
using Kvcached.Host.Startup;

var commandLine = CommandLine.Parse(args);
if (commandLine.IsHelp || commandLine.IsVersion)
{
    Console.Out.Write(commandLine.IsHelp ? HelpText.Build() : HelpText.Version + Environment.NewLine);
    return (int)HostExitCode.Stopped;
}

var appSettings = new ConfigurationBuilder().SetBasePath(AppContext.BaseDirectory).AddJsonFile("appsettings.json", optional: true).Build();
var values = SettingSources.Merge(
    commandLine, Environment.GetEnvironmentVariables(), appSettings.GetSection(SettingSources.SectionName), out var userConfig);
var (options, errors) = HostOptionsReader.Read(values);
if (errors.Count > 0)
{
    foreach (var error in errors)
    {
        HostProcess.Complain(error);
    }

    return (int)HostExitCode.Usage;
}

return (int)await HostProcess.RunAsync(options, userConfig);
